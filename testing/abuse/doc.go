// Package abuse holds the attacks that XLB is built to bear: each is a program that plays the stranger or the greedy
// tenant against a server of its own, and then looks whether the others were served. Addresses 127.x.y.z stand for
// sources. Everything stays on loopback and is bounded in count and time.
//
// `go test ./testing/abuse` runs short versions; with XLB_ABUSE=full they have the size that is in docs/security.md.
// It imports nothing of the rest.
package abuse
