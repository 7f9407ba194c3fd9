// Package acme lets XLB get certificates from Pebble, the small test authority of Let's Encrypt. It is a module of its own, so
// that nothing of that enters the graph of those who use XLB.
package acme
