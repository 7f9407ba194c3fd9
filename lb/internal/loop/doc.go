// Package loop moves the bytes of many TCP connections on few goroutines: an event loop over epoll, for connections that are
// established. It knows sockets and when they can be read and written; what is read and written is a [Mover]'s business.
//
// A connection has two sockets and two ways, up from the client to the backend and down. Both belong to one loop for life:
//
//	          data has come                        To takes no more
//	resting ----------------> queued -> Move -------------------------> blocked
//	   ^                        ^        | | \                             |
//	   |     nothing is left    |        | |  \ Pause            all is sent|
//	   +------------------------|--------+ |   v                           |
//	                            |          |  paused                       |
//	                            +----------|----+--------------------------+
//	                                       | Drain
//	                                       v         all is sent, or cannot be
//	                                    draining ------------------------------> ended
//
// After both ways have ended the loop knows the sockets no more, and the caller closes them. That happens in whatever way the
// caller likes: a socket outside of a loop is a slow net.Conn.
//
// Epoll tells of edges. That one read of each edge is enough comes from two facts: a read that returns less than was asked for
// has emptied the socket, so what comes after it is another edge; and an end that comes with data is told of with it (EPOLLRDHUP),
// so that the socket is read until it says so. A Move reads one block at most, and those that can go on wait for the next
// turn, so a busy connection does not hold up the others.
//
// The loop waits in Go's poller, in which its epoll descriptor is one of many: a goroutine that waits in the system would keep
// a processor of Go's scheduler from the others until that notices.
package loop
