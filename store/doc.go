// Package store keeps XLB's records.
//
//	engine, err := store.OpenBadger("data/store", store.BadgerConfig{})
//	if err != nil {
//		return err // says what is wrong with the directory and what to do
//	}
//	defer engine.Close()
//	records, err := store.New(engine)
//	if err != nil {
//		return err
//	}
//	rev, err := records.CreateClient(ctx, store.Client{UUID: id, Name: "shop", CreatedAt: now})
//
// It has two floors. [Engine] is a small key-value store with revisions: View, Update, Watch, Close.
// [Store] writes the records above it: keys, codec, indexes, schema. Badger is the engine in this
// package; another one needs no change above the interface.
//
// # What holds
//
// An Update is atomic, and what was answered with success survives a kill -9 and a power cut: the
// answer comes after the disk has it. Every Update that writes gets the next revision; revisions only
// grow, also over restarts. Watch delivers every change in the order of revisions, or says that it
// fell behind; a slow reader costs nobody anything. A View sees one revision, whatever is written
// meanwhile.
//
// Nobody above this package may assume to be the only process that writes. So a change, also one's
// own, is applied when it arrives by Watch, and an operation that must be in effect when it returns
// waits until its revision has arrived.
//
// # What it does not do
//
// It has no rules, no clock and no randomness: who may do what, what a name may look like and what
// time it is are the caller's. It starts no goroutine; call [Badger.Run] for the upkeep. It encrypts
// nothing: a [Secret] is stored as it comes, so seal it first.
package store
