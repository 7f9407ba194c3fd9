package lb

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

// secure protects an established TLS 1.3 connection, from where crypto/tls has finished the handshake.
// Doing the records here means one read and one write for many of them, no buffer while nothing comes,
// and a fifth of the memory. One goroutine reads; any may write.
type secure struct {
	conn  net.Conn
	src   *source
	ended atomic.Bool  // the TCP stream has ended without close_notify
	moved atomic.Int64 // bytes of data, both ways

	// The reader's.
	in      *trafficKey
	block   *block // ciphertext: what was read and not yet opened is block.data[:have]
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

// takeOver returns the connection without crypto/tls, or nil when it cannot do without: the secrets are
// not known, or its cipher suite is not one of ours.
func takeOver(w *wire, state tls.ConnectionState) *secure {
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
	s := &secure{conn: w.Conn, in: in, out: out}
	s.rest, s.unsent = w.finish()
	s.fresh = len(s.rest) > 0
	s.src = newSource(w.Conn, s.room, s.park)
	return s
}

// room is where the next bytes go, behind those that are waiting.
func (s *secure) room() []byte {
	if s.block == nil {
		s.block = takeBlock(s.large)
		s.have = copy(s.block.data, s.rest)
		s.rest = nil
	}
	return s.block.data[s.have:]
}

// park gives the block back while nothing comes. Half a record moves to a buffer of its own size, or
// thousands of slow peers would hold a block each.
func (s *secure) park() {
	if s.have > 0 {
		s.rest = append([]byte(nil), s.block.data[:s.have]...)
	}
	s.release()
}

func (s *secure) release() {
	s.block.free()
	s.block, s.have = nil, 0
}

// read waits for data and passes all that has come to deliver, in one piece. It returns io.EOF after
// close_notify, and when the TCP stream ends without one between two records, which sets ended; within a
// record that is io.ErrUnexpectedEOF. deliver must not keep the data; its error comes back as it is.
func (s *secure) read(deliver func([]byte) error) error {
	for s.closed == nil {
		if s.fresh {
			s.fresh = false
			if delivered, err := s.openAll(deliver); delivered || err != nil {
				return err
			}
			continue
		}
		s.fill()
	}
	s.release()
	s.rest = nil
	return s.closed
}

// fill reads once.
func (s *secure) fill() {
	n, err := s.src.read()
	if err != nil {
		s.ended.Store(err == io.EOF)
		s.closed = err
		if err == io.EOF && (s.have > 0 || len(s.rest) > 0) {
			s.closed = io.ErrUnexpectedEOF
		}
		return
	}
	s.large = n == len(s.block.data)-s.have && !s.small
	s.have += n
	s.fresh = true
}

// openAll opens every whole record that is there and delivers their data.
func (s *secure) openAll(deliver func([]byte) error) (delivered bool, err error) {
	s.room() // what the handshake left over is in no block yet
	plain := takeBlock(s.have > smallBlock)
	defer plain.free()
	filled, done := 0, 0
	for s.closed == nil {
		record := s.nextRecord(done)
		if record == nil {
			break
		}
		done += len(record)
		data, contentType, err := s.in.open(plain.data[filled:], record)
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
	return true, deliver(plain.data[:filled])
}

// nextRecord returns the whole record that begins at the offset, or nil.
func (s *secure) nextRecord(at int) []byte {
	waiting := s.block.data[at:s.have]
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
func (s *secure) keep(done int) {
	if done == s.have {
		s.release()
		return
	}
	from := s.block
	if s.large && len(from.data) < largeBlock {
		s.block = takeBlock(true)
		defer from.free()
	}
	s.have = copy(s.block.data, from.data[done:s.have])
}

// maxUseless is how many records without data a client may send in a row, KeyUpdates aside; crypto/tls has
// the same, and counts KeyUpdates too.
const maxUseless = 16

// take handles one record and returns how many bytes of data it has.
func (s *secure) take(data []byte, contentType byte) int {
	switch {
	case contentType != typeHandshake && len(s.update) > 0:
		s.fail(violation{alertUnexpectedMessage, "a handshake message is interrupted"})
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
		s.fail(violation{alertUnexpectedMessage, fmt.Sprintf("a record of content type %d with %d bytes", contentType, len(data))})
	}
	if s.useless++; s.closed == nil && s.useless > maxUseless {
		s.fail(violation{alertUnexpectedMessage, "too many records without data"})
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

func (s *secure) takeAlert(description byte) {
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

func (s *secure) takeHandshake(data []byte) {
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
	s.update, s.useless = nil, 0
	if s.updates++; s.updates > updateBurst+s.moved.Load()/updateBytes {
		s.fail(violation{alertUnexpectedMessage, "too many KeyUpdates"})
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
		return false, violation{alertUnexpectedMessage, "a handshake message that is no KeyUpdate"}
	case len(m) < keyUpdateHeader:
		return false, nil
	case m[1] != 0 || m[2] != 0 || m[3] != keyUpdateLength-keyUpdateHeader:
		return false, violation{alertDecodeError, "a KeyUpdate of a wrong length"}
	case len(m) < keyUpdateLength:
		return false, nil
	case len(m) > keyUpdateLength:
		return false, violation{alertUnexpectedMessage, "a KeyUpdate that does not end its record"}
	case m[keyUpdateLength-1] > 1:
		return false, violation{alertIllegalParameter, "a KeyUpdate that asks for something unknown"}
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

// fail ends reading, and tells the client why. A write that waits for the client has a second to end. After
// it nothing more is sent, close_notify neither.
func (s *secure) fail(err error) {
	s.closed = err
	alert := byte(alertInternalError)
	var v violation
	if errors.As(err, &v) {
		alert = v.alert
	}
	s.conn.SetWriteDeadline(time.Now().Add(lingerTime))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	s.shut = true
	s.sendLocked([]byte{2, alert, 0}[:2], typeAlert)
}

// answerUpdate sends the KeyUpdate that is due. The caller holds the lock.
func (s *secure) answerUpdate() error {
	if !s.mustUpdate.Swap(false) || s.shut {
		return nil
	}
	return s.updateLocked()
}

// updateLocked tells the client about our next keys and changes to them.
func (s *secure) updateLocked() error {
	message := []byte{messageKeyUpdate, 0, 0, 1, 0, 0}
	if err := s.sendLocked(message[:keyUpdateLength], typeHandshake); err != nil {
		return err
	}
	return s.out.update()
}

// sendLocked sends one small record. data has a byte behind it.
func (s *secure) sendLocked(data []byte, contentType byte) error {
	var record [64]byte
	n := s.out.seal(record[:], data, contentType)
	return s.put(record[:n])
}

// put sends sealed records, after those that are still to be sent. The caller holds the lock.
func (s *secure) put(records []byte) error {
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

var errShut = errors.New("close_notify was sent already")

// write sends data in as few writes as possible. data has a byte behind it.
func (s *secure) write(data []byte) error {
	sealed := takeBlock(len(data) > maxPlaintext)
	defer sealed.free()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return errShut
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
		for len(data) > 0 && len(sealed.data)-n >= maxSealed {
			part := data[:min(len(data), maxPlaintext)]
			n += s.out.seal(sealed.data[n:], part, typeApplication)
			data = data[len(part):]
		}
		if err := s.put(sealed.data[:n]); err != nil {
			return err
		}
	}
	s.moved.Add(int64(size))
	return nil
}

// CloseWrite sends close_notify. Reading goes on.
func (s *secure) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil
	}
	s.shut = true
	return s.sendLocked([]byte{1, alertCloseNotify, 0}[:2], typeAlert)
}
