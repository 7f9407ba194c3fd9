package loop

import (
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdire/xlb/internal/heap"
)

// Loop moves the bytes of its connections on one goroutine.
type Loop struct {
	epoll  int
	file   *os.File // epoll, in Go's poller
	parked syscall.RawConn
	bell   int      // eventfd: the loop is to end
	alone  bool     // Go's scheduler has no processor that no loop may keep busy
	gap    *os.File // eventfd in Go's poller, see giveWay
	way    syscall.RawConn
	wait   func(fd uintptr) bool
	got    int // events

	mu      sync.Mutex
	sockets []*Socket // by slot, which epoll tells
	free    []int32
	closing bool

	now     time.Time // when the turn began
	rested  time.Time // when others had the processor
	waited  bool      // since then
	ready   []*Way
	spare   []*Way // for the next turn
	crowded bool   // so many wait that each moves little
	keepers []*Way
	pauses  *heap.Heap[*Way]
	events  [128]unix.EpollEvent
	taken   []*Socket // the sockets of the events

	held  atomic.Int64 // connections
	busy  atomic.Int64 // nanoseconds of work, ever
	turns turns

	// The set's.
	share  int64 // thousandths of the time that it was busy lately
	before int64 // busy, by then
}

func newLoop(alone bool) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, err
	}
	unix.SetNonblock(epoll, true)
	l := &Loop{alone: alone, epoll: epoll, bell: bell, sockets: make([]*Socket, 1), file: os.NewFile(uintptr(epoll), "epoll")}
	l.pauses = heap.New(func(a, b *Way) bool { return a.until.Before(b.until) }, func(w *Way) *int { return &w.place })
	l.wait = l.look
	gap, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		l.close()
		return nil, err
	}
	l.gap = os.NewFile(uintptr(gap), "eventfd")
	err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET})
	if err == nil {
		l.parked, err = l.file.SyscallConn()
	}
	if err == nil {
		l.way, err = l.gap.SyscallConn()
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *Loop) close() {
	l.file.Close()
	l.gap.Close()
	unix.Close(l.bell)
}

// look is asked by Go's poller whether there is something, before it waits and when it was told so.
func (l *Loop) look(uintptr) bool {
	l.got = l.poll()
	if l.got == 0 {
		l.waited = true
		l.rest()
	}
	return l.got > 0
}

// rest has those give memory back that wait.
func (l *Loop) rest() {
	for i, w := range l.keepers {
		w.keeps = false
		w.mover.Rest(w)
		l.keepers[i] = nil
	}
	l.keepers = l.keepers[:0]
}

// mostKeepers is how many may keep a block while they wait and the loop works.
const mostKeepers = 32

// poll asks epoll without waiting.
func (l *Loop) poll() int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// add gives a connection to the loop: both sockets, and the ways between them. The way up begins at once when it has something
// to move that does not come from its socket.
func (l *Loop) add(m Mover, up, down *Way, has bool) error {
	for _, w := range []*Way{up, down} {
		w.mover = m
		w.loop = l
		w.place = -1
		w.From.loop = l
		w.From.reads = w
		w.To.writes = w
	}
	up.has = has
	up.From.watched = has // that it takes bytes is told at once
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range []*Socket{up.From, down.From} {
		if err := l.register(s); err != nil { // this system has no memory for it, or the user no watches left
			for _, s := range []*Socket{up.From, down.From} {
				l.forget(s)
			}
			return err
		}
	}
	l.held.Add(1)
	return nil
}

const edges = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&math.MaxUint32

// register gives a socket a slot. The caller holds the lock.
func (l *Loop) register(s *Socket) error {
	if n := len(l.free); n > 0 {
		s.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		s.slot = int32(len(l.sockets))
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[s.slot] = s
	events := uint32(edges)
	if s.watched {
		events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: events, Fd: s.slot})
}

// watchWrites has epoll tell when a socket takes bytes again.
func (l *Loop) watchWrites(s *Socket) {
	if !s.watched {
		s.watched = true
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: edges | unix.EPOLLOUT, Fd: s.slot})
	}
}

// letGo forgets both sockets of a connection. An event that is on its way meets an empty slot, or wakes another connection
// for nothing.
func (l *Loop) letGo(both ...*Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range both {
		l.forget(s)
	}
	l.held.Add(-1)
}

// forget takes a socket's slot back. The caller holds the lock.
func (l *Loop) forget(s *Socket) {
	if s.slot > 0 {
		l.sockets[s.slot] = nil
		l.free = append(l.free, s.slot)
	}
	s.slot = 0
	s.loop = nil
}

// one is what an eventfd is written.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

func (l *Loop) ring() { unix.Write(l.bell, one) }

// run works until stop.
func (l *Loop) run() {
	for {
		n := l.next()
		l.now = time.Now()
		if l.waited {
			l.waited = false
			l.rested = l.now
		}
		if !l.begin(n) {
			return
		}
		turn := l.ready
		l.crowded = len(turn) > crowd
		l.ready = l.spare[:0] // what comes in this turn waits for the next one
		for i, w := range turn {
			if l.alone && i%8 == 7 {
				l.giveWay()
			}
			w.queued = false
			if w.canMove() {
				w.has = false
				w.mover.Move(w)
				l.queue(w)
			}
		}
		if len(l.keepers) > mostKeepers {
			l.rest()
		}
		clear(turn)
		l.spare = turn
		took := time.Since(l.now)
		l.busy.Add(int64(took))
		l.turns.note(took, l.now)
	}
}

// next waits for something to do, and returns how many events there are.
func (l *Loop) next() int {
	if l.alone {
		l.giveWay()
	}
	if len(l.ready) > 0 {
		return l.poll()
	}
	if l.pauses.Len() > 0 {
		l.file.SetReadDeadline(l.pauses.Top().until)
		defer l.file.SetReadDeadline(time.Time{})
	}
	l.got = 0
	l.parked.Read(l.wait) // an error is the deadline
	return l.got
}

// slice is how long a loop works before others may use its processor, if there is none beside.
const slice = 3 * time.Millisecond

// giveWay lets other goroutines go first, when it is time. Gosched alone would not do: while something can run, Go's scheduler
// asks the system every ten milliseconds only who has heard from the network, and a handshake waits for it six times.
func (l *Loop) giveWay() {
	if time.Since(l.rested) < slice {
		return
	}
	asked := false
	l.way.Read(func(fd uintptr) bool {
		if asked {
			return true
		}
		asked = true
		unix.Write(int(fd), one)
		return false
	})
	runtime.Gosched()
	l.rested = time.Now()
}

// begin finds out what can move.
func (l *Loop) begin(n int) bool {
	if !l.take(n) {
		return false
	}
	for i, s := range l.taken {
		if s != nil {
			l.heard(s, l.events[i].Events)
		}
	}
	for l.pauses.Len() > 0 && !l.now.Before(l.pauses.Top().until) {
		w := l.pauses.Pop()
		w.until = time.Time{}
		l.queue(w)
	}
	return true
}

// take looks up whose the events are, and returns false when the loop is to end.
func (l *Loop) take(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = l.taken[:0]
	for i := range n {
		l.taken = append(l.taken, l.sockets[l.events[i].Fd])
	}
	return !l.closing
}

// heard is what epoll told of a socket.
func (l *Loop) heard(s *Socket, events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.hung = true
		s.readable = true
	}
	if events&unix.EPOLLIN != 0 {
		s.readable = true
	}
	if s.Blocked() && events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.flush(s)
	}
	l.queue(s.reads)
}

func (l *Loop) flush(s *Socket) {
	w := s.writes
	if err := s.flush(); err != nil && !w.ended {
		if w.draining {
			w.End()
		}
		w.mover.Failed(w, err)
		return
	}
	if w.ended {
		return
	}
	if w.draining && !s.Blocked() {
		w.End()
	}
	w.mover.Sent(w)
	l.queue(w)
}

// queue has a way move in the next turn, if it can.
func (l *Loop) queue(w *Way) {
	if !w.queued && w.canMove() {
		w.queued = true
		l.ready = append(l.ready, w)
	}
}
