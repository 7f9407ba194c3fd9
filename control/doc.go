// Package control holds every rule of XLB: who may do what, what is valid, and what happens after.
//
// Each operation takes a context that carries an [Actor] (see [WithActor]), asks one function whether
// that actor may do it, changes the store, and returns when the change is live in the balancer of this
// process. The JSON API and the pages call the same operations, so there is no second set of rules.
//
// Nobody above the store assumes to be the only process: every change, our own too, is applied when it
// arrives by Watch, and an operation waits until its own revision has been applied.
//
// The package knows no transport: no HTTP, no HTML, no cookies. It starts no goroutine; [Control.Tasks]
// lists what has to run beside it.
package control
