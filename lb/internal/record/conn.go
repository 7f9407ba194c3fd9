package record

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn protects an established TLS 1.3 connection, from where crypto/tls has finished the handshake.
// Doing the records here means one read and one write for many of them, no buffer while nothing comes,
// and a fifth of the memory. One goroutine reads; any may write.
type Conn struct {
	conn  net.Conn
	src   *source
	ended atomic.Bool  // the TCP stream has ended without close_notify
	moved atomic.Int64 // bytes of data, both ways

	// The reader's.
	in      *trafficKey
	block   *Block // ciphertext: what was read and not yet opened is block.Data[:have]
	have    int
	rest    []byte // the beginning of a record, while there is no block
	fresh   bool   // bytes have come that were not looked at
	large   bool   // the last read filled its block
	small   bool   // it shall not matter: a limit wants small pieces
	update  []byte // a KeyUpdate that has come in part
	useless int    // records in a row without data
	updates int64  // KeyUpdates, ever
	closed  error  // what ended reading

	mu         sync.Mutex // one record after the other
	out        *trafficKey
	unsent     []byte      // sealed session tickets, which go out in front of the first record
	mustUpdate atomic.Bool // the client asked for a KeyUpdate that is not sent yet
	shut       bool        // close_notify or an alert is sent
}

// TakeOver returns the connection without crypto/tls, or nil when it cannot do without: the secrets are
// not known, or its cipher suite is not one of ours.
func TakeOver(w *Wire, state tls.ConnectionState) *Conn {
	suite, ours := suites[state.CipherSuite]
	if !ours || state.Version != tls.VersionTLS13 || len(w.client) != suite.size || len(w.server) != suite.size {
		return nil
	}
	in, err := newTrafficKey(suite, w.client)
	if err != nil {
		return nil
	}
	out, err := newTrafficKey(suite, w.server)
	if err != nil {
		return nil
	}
	w.countSealed(out)
	s := &Conn{conn: w.Conn, in: in, out: out}
	s.rest, s.unsent = w.finish()
	s.fresh = len(s.rest) > 0
	s.src = newSource(w.Conn, s.room, s.park)
	return s
}

// Move goes on over another connection to the same client, between two calls of Receive, and tells whether something has come
// that was not looked at.
func (s *Conn) Move(to Ready) (has bool) {
	s.conn = to
	s.src = newSource(to, s.room, s.park)
	return s.fresh
}

// Over tells whether the end has come, which Receive has still to report.
func (s *Conn) Over() bool { return s.closed != nil }

// Holds tells whether there is something for Park to give back.
func (s *Conn) Holds() bool { return s.block != nil }

// Park gives back the memory that is good for reading on at once.
func (s *Conn) Park() {
	if s.block != nil {
		s.park()
	}
}

// Ended tells whether the TCP stream has ended without close_notify.
func (s *Conn) Ended() bool { return s.ended.Load() }

// KeepSmall tells whether Receive is to deliver small pieces, as a limit may want. For the goroutine that receives.
func (s *Conn) KeepSmall(small bool) { s.small = small }

// room is where the next bytes go, behind those that are waiting.
func (s *Conn) room() []byte {
	if s.block == nil {
		s.block = takeBlock(s.large)
		s.have = copy(s.block.Data, s.rest)
		s.rest = nil
	}
	return s.block.Data[s.have:]
}

// park gives the block back while nothing comes. Half a record moves to a buffer of its own size, or
// thousands of slow peers would hold a block each.
func (s *Conn) park() {
	if s.have > 0 {
		s.rest = append([]byte(nil), s.block.Data[:s.have]...)
	}
	s.release()
}

func (s *Conn) release() {
	s.block.Free()
	s.block = nil
	s.have = 0
}

// Receive waits for data and passes all that has come to deliver, in one piece. It returns io.EOF after
// close_notify, and when the TCP stream ends without one between two records, see Ended; within a
// record that is io.ErrUnexpectedEOF. Over a [Ready] it returns ErrDry instead of waiting. What breaks the rules of TLS is a [Violation]; the other side has been told then.
// deliver must not keep the data; its error comes back as it is.
func (s *Conn) Receive(deliver func([]byte) error) error {
	for s.closed == nil {
		if s.fresh {
			s.fresh = false
			if delivered, err := s.openAll(deliver); delivered || err != nil {
				return err
			}
			continue
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
	s.release()
	s.rest = nil
	return s.closed
}

// fill reads once.
func (s *Conn) fill() error {
	n, err := s.src.read()
	if err == ErrDry {
		return err
	}
	if err != nil {
		s.ended.Store(err == io.EOF)
		s.closed = err
		if err == io.EOF && (s.have > 0 || len(s.rest) > 0) {
			s.closed = io.ErrUnexpectedEOF
		}
		return nil
	}
	s.large = n == len(s.block.Data)-s.have && !s.small
	s.have += n
	s.fresh = true
	return nil
}

// openAll opens every whole record that is there and delivers their data.
func (s *Conn) openAll(deliver func([]byte) error) (delivered bool, err error) {
	s.room() // what the handshake left over is in no block yet
	plain := takeBlock(s.have > smallBlock)
	defer plain.Free()
	filled := 0
	done := 0
	for s.closed == nil {
		record := s.nextRecord(done)
		if record == nil {
			break
		}
		done += len(record)
		data, contentType, err := s.in.open(plain.Data[filled:], record)
		if err != nil {
			s.fail(err)
			break
		}
		filled += s.take(data, contentType)
	}
	s.keep(done)
	if filled == 0 {
		return false, nil
	}
	return true, deliver(plain.Data[:filled])
}

// nextRecord returns the whole record that begins at the offset, or nil.
func (s *Conn) nextRecord(at int) []byte {
	waiting := s.block.Data[at:s.have]
	if len(waiting) < recordHeader {
		return nil
	}
	n, err := recordLength(waiting)
	if err != nil {
		s.fail(err)
		return nil
	}
	if n > len(waiting) {
		return nil
	}
	return waiting[:n]
}

// keep moves what was not opened to the front, of a larger block when much is coming.
func (s *Conn) keep(done int) {
	if done == s.have {
		s.release()
		return
	}
	from := s.block
	if s.large && len(from.Data) < LargeBlock {
		s.block = takeBlock(true)
		defer from.Free()
	}
	s.have = copy(s.block.Data, from.Data[done:s.have])
}

// maxUseless is how many records without data a client may send in a row, KeyUpdates aside; crypto/tls has
// the same, and counts KeyUpdates too.
const maxUseless = 16

// take handles one record and returns how many bytes of data it has.
func (s *Conn) take(data []byte, contentType byte) int {
	switch {
	case contentType != typeHandshake && len(s.update) > 0:
		s.fail(Violation{alertUnexpectedMessage, "a handshake message is interrupted"})
	case contentType == typeApplication && len(data) > 0:
		s.useless = 0
		s.moved.Add(int64(len(data)))
		return len(data)
	case contentType == typeApplication:
	case contentType == typeAlert && len(data) == 2:
		s.takeAlert(data[1])
	case contentType == typeHandshake && len(data) > 0:
		s.takeHandshake(data)
	default:
		s.fail(Violation{alertUnexpectedMessage, fmt.Sprintf("a record of content type %d with %d bytes", contentType, len(data))})
	}
	if s.useless++; s.closed == nil && s.useless > maxUseless {
		s.fail(Violation{alertUnexpectedMessage, "too many records without data"})
	}
	return 0
}

// Alerts (RFC 8446, section 6).
const (
	alertCloseNotify       = 0
	alertUnexpectedMessage = 10
	alertBadRecordMAC      = 20
	alertRecordOverflow    = 22
	alertIllegalParameter  = 47
	alertDecodeError       = 50
	alertInternalError     = 80
	alertUserCanceled      = 90
)

func (s *Conn) takeAlert(description byte) {
	switch description {
	case alertCloseNotify:
		s.closed = io.EOF
	case alertUserCanceled: // says nothing; close_notify follows
	default:
		s.closed = fmt.Errorf("the client sent alert %d", description)
	}
}

// A KeyUpdate (RFC 8446, section 4.6.3) is the only handshake message that a client may send now.
const (
	messageKeyUpdate = 24
	keyUpdateHeader  = 4
	keyUpdateLength  = 5
)

func (s *Conn) takeHandshake(data []byte) {
	s.update = append(s.update, data...)
	whole, err := checkKeyUpdate(s.update)
	if err != nil {
		s.fail(err)
		return
	}
	if !whole {
		return
	}
	wantsAnswer := s.update[keyUpdateLength-1] == 1
	s.update = nil
	s.useless = 0
	if s.updates++; s.updates > updateBurst+s.moved.Load()/updateBytes {
		s.fail(Violation{alertUnexpectedMessage, "too many KeyUpdates"})
		return
	}
	if err := s.in.update(); err != nil {
		s.fail(err)
		return
	}
	if wantsAnswer {
		s.mustUpdate.Store(true)
		if s.mu.TryLock() { // a writer that is at work does it with its next record
			defer s.mu.Unlock()
			s.answerUpdate()
		}
	}
}

// checkKeyUpdate looks at a message as far as it has come, and tells whether that is all of it.
func checkKeyUpdate(m []byte) (whole bool, err error) {
	switch {
	case m[0] != messageKeyUpdate:
		return false, Violation{alertUnexpectedMessage, "a handshake message that is no KeyUpdate"}
	case len(m) < keyUpdateHeader:
		return false, nil
	case m[1] != 0 || m[2] != 0 || m[3] != keyUpdateLength-keyUpdateHeader:
		return false, Violation{alertDecodeError, "a KeyUpdate of a wrong length"}
	case len(m) < keyUpdateLength:
		return false, nil
	case len(m) > keyUpdateLength:
		return false, Violation{alertUnexpectedMessage, "a KeyUpdate that does not end its record"}
	case m[keyUpdateLength-1] > 1:
		return false, Violation{alertIllegalParameter, "a KeyUpdate that asks for something unknown"}
	}
	return true, nil
}

// updateBurst is how many KeyUpdates a client may send, and one more for each updateBytes that moved either
// way: one that only receives may well change its keys as the stream goes on. What the stream has earned
// stays good, because a client reads later than we write.
const (
	updateBurst = 32
	updateBytes = 16 << 10
)

// alertTime is how long the other side has to take what is written when it is told that it broke the rules.
const alertTime = time.Second

// fail ends reading, and tells the client why. A write that waits for the client has a second to end. After
// it nothing more is sent, close_notify neither.
func (s *Conn) fail(err error) {
	s.closed = err
	alert := byte(alertInternalError)
	var v Violation
	if errors.As(err, &v) {
		alert = v.Alert
	}
	s.conn.SetWriteDeadline(time.Now().Add(alertTime))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	s.shut = true
	s.sendLocked([]byte{2, alert, 0}[:2], typeAlert)
}

// answerUpdate sends the KeyUpdate that is due. The caller holds the lock.
func (s *Conn) answerUpdate() error {
	if !s.mustUpdate.Swap(false) || s.shut {
		return nil
	}
	return s.updateLocked()
}

// updateLocked tells the client about our next keys and changes to them.
func (s *Conn) updateLocked() error {
	message := []byte{messageKeyUpdate, 0, 0, 1, 0, 0}
	if err := s.sendLocked(message[:keyUpdateLength], typeHandshake); err != nil {
		return err
	}
	return s.out.update()
}

// sendLocked sends one small record. data has a byte behind it.
func (s *Conn) sendLocked(data []byte, contentType byte) error {
	var record [64]byte
	n := s.out.seal(record[:], data, contentType)
	return s.put(record[:n])
}

// put sends sealed records, after those that are still to be sent. The caller holds the lock.
func (s *Conn) put(records []byte) error {
	if s.unsent != nil {
		records = append(s.unsent, records...)
		s.unsent = nil
	}
	_, err := s.conn.Write(records)
	return err
}

// maxRecords is when our side changes its key: AES-GCM is good for 2^24.5 full records (RFC 8446,
// section 5.5).
const maxRecords = 1 << 24

// ErrShut is the error of Send after close_notify or an alert was sent.
var ErrShut = errors.New("close_notify was sent already")

// Send sends data in as few writes as possible. data has a byte behind it.
func (s *Conn) Send(data []byte) error {
	sealed := takeBlock(len(data) > maxPlaintext)
	defer sealed.Free()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return ErrShut
	}
	if err := s.answerUpdate(); err != nil {
		return err
	}
	if s.out.seq > maxRecords {
		if err := s.updateLocked(); err != nil {
			return err
		}
	}
	size := len(data)
	for len(data) > 0 {
		n := 0
		for len(data) > 0 && len(sealed.Data)-n >= maxSealed {
			part := data[:min(len(data), maxPlaintext)]
			n += s.out.seal(sealed.Data[n:], part, typeApplication)
			data = data[len(part):]
		}
		if err := s.put(sealed.Data[:n]); err != nil {
			return err
		}
	}
	s.moved.Add(int64(size))
	return nil
}

// CloseWrite sends close_notify. Reading goes on.
func (s *Conn) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil
	}
	s.shut = true
	return s.sendLocked([]byte{1, alertCloseNotify, 0}[:2], typeAlert)
}
