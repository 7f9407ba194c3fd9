// Package health finds out whether servers work: by a connect, a TLS handshake, bytes sent and expected, or an HTTP
// request. A [Check] does it once with Probe. A [Checker] does it again and again for any number of targets, from
// few goroutines, and tells when its verdict on one changes; targets that are silent do not delay the others.
//
// The balancer's pools use it (see lb.PoolConfig), and so can anything else: it needs no
// library of others.
package health
