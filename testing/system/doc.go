// Package system tests XLB from outside: it builds the real binary, starts it as a process with a data
// directory of its own, and talks to it as users do, with HTTPS, TLS, redis-cli, curl and openssl.
// It imports nothing of ours.
package system
