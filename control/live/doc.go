// Package live is what the data plane works with and what is observed of it: records go in, pools and status come out.
//
// It follows the store. Every change, also one of this process, is applied when it arrives by Watch, and
// [Live.WaitFor] returns when a revision is in force. It admits connections from memory alone, judges routes, follows
// names, counts, and remembers what was turned away. It knows nothing of who asks, what is valid, or HTTP: control
// does.
package live
