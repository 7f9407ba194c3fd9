// Package e2e drives the dashboard with a real browser against the real binary. It is a module of its
// own, so that the browser driver never enters the graph of those who use XLB.
package e2e
