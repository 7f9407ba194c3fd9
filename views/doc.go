// Package views turns props into HTML. A component shows what its props say and knows nothing else: no
// store, no request, no clock. All words are in text.go, all figures are written by format.go, and what
// an open page replaces by itself is a component of its own, so that the first page load and the stream
// show the same.
package views
