package record

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	mrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a client's record layer over a plain connection, for sending what crypto/tls would not.
type peer struct {
	t       *testing.T
	conn    net.Conn
	in, out *trafficKey
	scratch []byte
}

// securePair is a secure connection and the records of its client, over loopback, with random keys.
func securePair(t *testing.T) (*Conn, *peer) {
	t.Helper()
	server, client := tcpPair(t)
	keys := func() (a, b *trafficKey) {
		secret := make([]byte, 32)
		rand.Read(secret)
		for _, k := range []**trafficKey{&a, &b} {
			key, err := newTrafficKey(suites[tls.TLS_AES_128_GCM_SHA256], bytes.Clone(secret))
			if err != nil {
				t.Fatal(err)
			}
			*k = key
		}
		return a, b
	}
	s := &Conn{conn: server}
	s.src = newSource(server, s.room, s.park)
	r := &peer{t: t, conn: client, scratch: make([]byte, LargeBlock)}
	s.in, r.out = keys()
	s.out, r.in = keys()
	return s, r
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { c.Close() })
	}
	return a, b
}

// seal returns one record; padding zeros go behind the content type (RFC 8446, section 5.4).
func (r *peer) seal(contentType byte, data []byte, padding int) []byte {
	inner := append(append(bytes.Clone(data), contentType), make([]byte, padding+1)...)
	inner = inner[:len(inner)-1]
	record := make([]byte, len(inner)+recordOverhead)
	n := r.out.seal(record, inner[:len(inner)-1], inner[len(inner)-1])
	return record[:n]
}

func (r *peer) send(contentType byte, data string) {
	r.t.Helper()
	if _, err := r.conn.Write(r.seal(contentType, []byte(data), 0)); err != nil {
		r.t.Fatal(err)
	}
}

// next reads one record.
func (r *peer) next() (data []byte, contentType byte) {
	r.t.Helper()
	header := make([]byte, recordHeader)
	if _, err := io.ReadFull(r.conn, header); err != nil {
		r.t.Fatal(err)
	}
	n, err := recordLength(header)
	if err != nil {
		r.t.Fatal(err)
	}
	record := append(header, make([]byte, n-recordHeader)...)
	if _, err := io.ReadFull(r.conn, record[recordHeader:]); err != nil {
		r.t.Fatal(err)
	}
	data, contentType, err = r.in.open(r.scratch, record)
	if err != nil {
		r.t.Fatal(err)
	}
	return data, contentType
}

func (s *Conn) readText() (string, error) {
	var text string
	err := s.Receive(func(data []byte) error { text = string(data); return nil })
	return text, err
}

const keyUpdate, keyUpdateBack = "\x18\x00\x00\x01\x00", "\x18\x00\x00\x01\x01"

func TestRecordsInOneReadAreDeliveredTogether(t *testing.T) {
	s, r := securePair(t)
	batch := append(r.seal(typeApplication, []byte("one "), 0), r.seal(typeApplication, nil, 0)...)
	batch = append(batch, r.seal(typeApplication, []byte("two "), 300)...)
	batch = append(batch, r.seal(typeHandshake, []byte(keyUpdate), 0)...)
	if err := r.out.update(); err != nil {
		t.Fatal(err)
	}
	batch = append(batch, r.seal(typeApplication, []byte("three"), 0)...)
	half := r.seal(typeApplication, []byte(" and four"), 0)
	r.conn.Write(append(batch, half[:11]...))
	if got, err := s.readText(); got != "one two three" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { r.conn.Write(half[11:]) })
	if got, err := s.readText(); got != " and four" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	r.send(typeAlert, "\x01\x00")
	if _, err := s.readText(); err != io.EOF || s.Ended() {
		t.Errorf("close_notify: %v, TCP ended %v", err, s.Ended())
	}
}

func TestKeyUpdateIsAnsweredBeforeTheNextData(t *testing.T) {
	s, r := securePair(t)
	r.send(typeHandshake, keyUpdateBack)
	if err := r.out.update(); err != nil {
		t.Fatal(err)
	}
	r.send(typeApplication, "x")
	if got, err := s.readText(); got != "x" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if data, contentType := r.next(); contentType != typeHandshake || string(data) != keyUpdate {
		t.Fatalf("answer %d %x", contentType, data)
	}
	if err := r.in.update(); err != nil {
		t.Fatal(err)
	}
	if err := s.Send([]byte("y\x00")[:1]); err != nil {
		t.Fatal(err)
	}
	if data, _ := r.next(); string(data) != "y" {
		t.Errorf("got %q", data)
	}
}

// A reader that has to answer while the writer is stuck does not wait for it; the writer answers later.
func TestKeyUpdateIsAnsweredByAStuckWriter(t *testing.T) {
	s, r := securePair(t)
	s.mu.Lock() // as a writer holds it
	r.send(typeHandshake, keyUpdateBack)
	if err := r.out.update(); err != nil {
		t.Fatal(err)
	}
	r.send(typeApplication, "x")
	if got, err := s.readText(); got != "x" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	s.mu.Unlock()
	if err := s.Send([]byte("y\x00")[:1]); err != nil {
		t.Fatal(err)
	}
	if data, contentType := r.next(); contentType != typeHandshake || string(data) != keyUpdate {
		t.Fatalf("first comes %d %x", contentType, data)
	}
	if err := r.in.update(); err != nil {
		t.Fatal(err)
	}
	if data, _ := r.next(); string(data) != "y" {
		t.Errorf("then %q", data)
	}
}

func TestRecordsThatBreakTheRules(t *testing.T) {
	cases := map[string]struct {
		send  func(r *peer)
		alert byte
	}{
		"wrong tag": {func(r *peer) {
			record := r.seal(typeApplication, []byte("x"), 0)
			record[len(record)-1] ^= 1
			r.conn.Write(record)
		}, alertBadRecordMAC},
		"twice the same":        {func(r *peer) { b := r.seal(typeApplication, []byte("x"), 0); r.conn.Write(append(b, b...)) }, alertBadRecordMAC},
		"only padding":          {func(r *peer) { r.conn.Write(r.seal(0, make([]byte, 20), 0)) }, alertUnexpectedMessage},
		"too much inside":       {func(r *peer) { r.conn.Write(r.seal(typeApplication, make([]byte, maxPlaintext+1), 0)) }, alertRecordOverflow},
		"too much padding":      {func(r *peer) { r.conn.Write(r.seal(typeApplication, make([]byte, maxPlaintext), 1)) }, alertRecordOverflow},
		"not protected":         {func(r *peer) { r.conn.Write([]byte("\x15\x03\x03\x00\x02\x01\x00")) }, alertUnexpectedMessage},
		"change_cipher_spec":    {func(r *peer) { r.conn.Write([]byte("\x14\x03\x03\x00\x01\x01")) }, alertUnexpectedMessage},
		"too long":              {func(r *peer) { r.conn.Write([]byte("\x17\x03\x03\x41\x01")) }, alertRecordOverflow},
		"too short":             {func(r *peer) { r.conn.Write([]byte("\x17\x03\x03\x00\x03abc")) }, alertBadRecordMAC},
		"other handshake":       {func(r *peer) { r.send(typeHandshake, "\x0b\x00\x00\x01\x00") }, alertUnexpectedMessage},
		"KeyUpdate of 2":        {func(r *peer) { r.send(typeHandshake, "\x18\x00\x00\x01\x02") }, alertIllegalParameter},
		"KeyUpdate of length 2": {func(r *peer) { r.send(typeHandshake, "\x18\x00\x00\x02\x00\x00") }, alertDecodeError},
		"KeyUpdate of length 0": {func(r *peer) { r.send(typeHandshake, "\x18\x00\x00\x00") }, alertDecodeError},
		"KeyUpdate and more":    {func(r *peer) { r.send(typeHandshake, keyUpdate+"\x18") }, alertUnexpectedMessage},
		"KeyUpdate interrupted": {func(r *peer) { r.send(typeHandshake, keyUpdate[:2]); r.send(typeApplication, "x") }, alertUnexpectedMessage},
		"empty handshake":       {func(r *peer) { r.send(typeHandshake, "") }, alertUnexpectedMessage},
		"long alert":            {func(r *peer) { r.send(typeAlert, "\x01\x00\x00") }, alertUnexpectedMessage},
		"unknown type":          {func(r *peer) { r.send(99, "x") }, alertUnexpectedMessage},
		"nothing, over and over": {func(r *peer) {
			for range maxUseless + 1 {
				r.send(typeApplication, "")
			}
		}, alertUnexpectedMessage},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, r := securePair(t)
			tc.send(r)
			var err error
			for err == nil {
				_, err = s.readText()
			}
			if err == io.EOF || errors.Is(err, net.ErrClosed) {
				t.Fatalf("ended with %v", err)
			}
			if data, contentType := r.next(); contentType != typeAlert || data[1] != tc.alert {
				t.Errorf("answered %d %x, want alert %d", contentType, data, tc.alert)
			}
			if _, again := s.readText(); again != err {
				t.Errorf("then %v, want %v", again, err)
			}
		})
	}
}

// A client that only receives may change its keys as often as the stream goes on, and no oftener.
func TestKeyUpdatesOfAClientThatOnlyReceives(t *testing.T) {
	s, r := securePair(t)
	update := func() {
		r.send(typeHandshake, keyUpdate)
		if err := r.out.update(); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = s.readText()
		}
		ended <- err
	}()
	receive := func() {
		if err := s.Send(make([]byte, updateBytes+1)[:updateBytes]); err != nil {
			t.Fatal(err)
		}
		if data, contentType := r.next(); contentType != typeApplication || len(data) != updateBytes {
			t.Fatalf("got %d bytes of type %d", len(data), contentType)
		}
	}
	for range 200 {
		receive()
		update()
	}
	for range updateBurst + 1 { // and now without anything that moves
		update()
	}
	if data, contentType := r.next(); contentType != typeAlert || data[1] != alertUnexpectedMessage {
		t.Errorf("answered %d %x", contentType, data)
	}
	if err := <-ended; err == nil || err == io.EOF {
		t.Errorf("ended with %v", err)
	}
}

func TestKeyUpdateInPieces(t *testing.T) {
	s, r := securePair(t)
	for _, b := range []byte(keyUpdate) {
		r.send(typeHandshake, string(b))
	}
	if err := r.out.update(); err != nil {
		t.Fatal(err)
	}
	r.send(typeApplication, "x")
	if got, err := s.readText(); got != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTruncatedStreamIsNotTakenForItsEnd(t *testing.T) {
	s, r := securePair(t)
	r.send(typeApplication, "x")
	r.conn.(*net.TCPConn).CloseWrite()
	if got, err := s.readText(); got != "x" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := s.readText(); err != io.EOF || !s.Ended() {
		t.Errorf("%v, ended %v", err, s.Ended())
	}
}

// Whatever the sizes and the cuts: the same bytes, in order, both ways, with key updates in between.
func TestRandomRecordsArriveWhole(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := mrand.New(mrand.NewPCG(seed, 1))
	for range 20 {
		s, r := securePair(t)
		var wire, want []byte
		for len(want) < 400_000 {
			data := make([]byte, random.IntN(maxPlaintext)>>random.IntN(14))
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			want = append(want, data...)
			wire = append(wire, r.seal(typeApplication, data, min(random.IntN(50)*random.IntN(2), maxPlaintext-len(data)))...)
			if random.IntN(40) == 0 {
				wire = append(wire, r.seal(typeHandshake, []byte(keyUpdate), 0)...)
				if err := r.out.update(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cuts := random.Perm(len(wire) / 1000)
		go func() {
			for i := 0; len(wire) > 0; i++ {
				n := min(len(wire), 1+cuts[i%len(cuts)]*(1+i%50))
				r.conn.Write(wire[:n])
				wire = wire[n:]
			}
			r.conn.(*net.TCPConn).CloseWrite()
		}()
		var got []byte
		for {
			err := s.Receive(func(data []byte) error { got = append(got, data...); return nil })
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes arrived of %d", len(got), len(want))
		}
		s.conn.Close()
	}
}

func TestOwnKeyIsChangedInTime(t *testing.T) {
	s, r := securePair(t)
	s.out.seq, r.in.seq = maxRecords+1, maxRecords+1
	if err := s.Send([]byte("x\x00")[:1]); err != nil {
		t.Fatal(err)
	}
	if data, contentType := r.next(); contentType != typeHandshake || string(data) != keyUpdate {
		t.Fatalf("first comes %d %x", contentType, data)
	}
	if err := r.in.update(); err != nil {
		t.Fatal(err)
	}
	if data, _ := r.next(); string(data) != "x" || s.out.seq != 1 {
		t.Errorf("then %q under record %d", data, s.out.seq)
	}
}
