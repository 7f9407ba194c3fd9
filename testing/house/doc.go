// Package house holds tests that keep the shape of the project: which package may import which,
// where goroutines start, and that every package says what it promises.
package house
