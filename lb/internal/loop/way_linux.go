package loop

import "time"

// Mover moves the bytes of one connection. The loop calls it on its goroutine, so it must not wait.
type Mover interface {
	// Move reads once from the socket where the way begins, and writes what came to the one where it ends.
	Move(w *Way)
	// Rest gives back memory that is good for moving on at once, after Keep.
	Rest(w *Way)
	// Failed is told that what was kept for the end of the way cannot be sent.
	Failed(w *Way, err error)
	// Sent is told that some of what was kept has been sent.
	Sent(w *Way)
}

// Way is one direction of a connection in a loop. It is used on the loop's goroutine only.
type Way struct {
	From, To *Socket
	mover    Mover
	loop     *Loop
	has      bool // something to move did not come from the socket
	queued   bool
	keeps    bool // see Keep
	draining bool // nothing more is read; it ends when all is sent
	ended    bool
	until    time.Time // of a pause, zero for none
	place    int       // among the pauses
}

// Pause has the way rest until a moment.
func (w *Way) Pause(until time.Time) {
	w.until = until
	w.loop.pauses.Push(w)
}

// Keep has Rest called when the loop has nothing else to do, or many want that.
func (w *Way) Keep() {
	if !w.keeps {
		w.keeps = true
		w.loop.keepers = append(w.loop.keepers, w)
	}
}

// Drain reads no more, and ends the way when all that was kept for its end has been sent, or could not be.
func (w *Way) Drain() {
	if w.draining = true; !w.To.Blocked() {
		w.End()
	}
}

// Ended tells whether the loop has let go of the way.
func (w *Way) Ended() bool { return w.ended }

// End has the loop let go of the way. After both have ended it knows the sockets no more.
func (w *Way) End() {
	w.ended = true
	if w.place >= 0 {
		w.loop.pauses.Remove(w)
	}
	if w.From.writes.ended {
		w.loop.letGo(w.From, w.To)
	}
}

func (w *Way) canMove() bool {
	return !w.ended && !w.draining && w.until.IsZero() && (w.From.readable || w.has) && !w.To.Blocked()
}

// crowd is how many ways may move a large block each in one turn.
const crowd = 16

// Crowded tells whether so many ways wait for their turn that each has to move little, so that none waits long.
func (w *Way) Crowded() bool { return w.loop.crowded }

// Now is when the turn began.
func (w *Way) Now() time.Time { return w.loop.now }
