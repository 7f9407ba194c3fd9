package record

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// FuzzRecords mangles and cuts a stream of good records. What the reader delivers is the beginning of what
// was sealed, whatever comes, and it always ends.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("hello"), uint16(0), byte(0), uint16(3), byte(0))
	f.Add(bytes.Repeat([]byte("x"), 40_000), uint16(5), byte(1), uint16(17_000), byte(typeAlert))
	f.Add([]byte{messageKeyUpdate, 0, 0, 1, 1}, uint16(7), byte(0x80), uint16(1), byte(typeHandshake))
	secret := bytes.Repeat([]byte{7}, 32)
	f.Fuzz(func(t *testing.T, data []byte, at uint16, flip byte, cut uint16, kind byte) {
		if len(data) > 100_000 {
			return
		}
		newSecret := func() *trafficKey {
			key, err := newTrafficKey(suites[tls.TLS_AES_128_GCM_SHA256], bytes.Clone(secret))
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		sealer, sealed := newSecret(), make([]byte, LargeBlock)
		var wire []byte
		for rest := data; len(rest) > 0; {
			part := append(bytes.Clone(rest[:min(len(rest), maxPlaintext)]), 0)
			wire = append(wire, sealed[:sealer.seal(sealed, part[:len(part)-1], typeApplication)]...)
			rest = rest[len(part)-1:]
		}
		odd := append(bytes.Clone(data[:min(len(data), 20)]), 0) // one record of any type, with any content
		wire = append(wire, sealed[:sealer.seal(sealed, odd[:len(odd)-1], kind)]...)
		wire[int(at)%len(wire)] ^= flip
		server, client := net.Pipe()
		defer server.Close()
		server.SetDeadline(time.Now().Add(patience))
		go func() {
			for rest := wire; len(rest) > 0; {
				n := min(len(rest), max(int(cut)+1, len(wire)/200))
				if _, err := client.Write(rest[:n]); err != nil {
					break
				}
				rest = rest[n:]
			}
			client.Close()
		}()
		s := &Conn{conn: discard{server}, in: newSecret(), out: newSecret()}
		s.src = newSource(server, s.room, s.park)
		var got []byte
		for {
			err := s.Receive(func(p []byte) error { got = append(got, p...); return nil })
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("it did not end")
			}
			if err != nil {
				break
			}
		}
		want := data
		if kind == typeApplication {
			want = append(bytes.Clone(data), data[:min(len(data), 20)]...)
		}
		if !bytes.HasPrefix(want, got) {
			t.Fatalf("%d bytes were delivered that nobody sealed", len(got))
		}
		if flip == 0 && len(got) < len(data) {
			t.Fatalf("%d of %d bytes were delivered", len(got), len(data))
		}
	})
}

// discard swallows alerts: the far end of a pipe does not read.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// Half a record, then silence: the block goes back and only what has come is kept.
func TestHalfARecordHoldsNoBlock(t *testing.T) {
	s, r := securePair(t)
	record := r.seal(typeApplication, bytes.Repeat([]byte("x"), 10_000), 0)
	parked := make(chan int, 10)
	s.src = newSource(s.conn, s.room, func() {
		s.park()
		if s.block != nil || cap(s.rest) > 4096 {
			t.Errorf("a block is held for %d bytes, or a buffer of %d", len(s.rest), cap(s.rest))
		}
		parked <- len(s.rest)
	})
	ended, got := make(chan error, 1), 0
	go func() {
		ended <- s.Receive(func(p []byte) error { got += len(p); return nil })
	}()
	<-parked // before anything has come
	r.conn.Write(record[:3000])
	for kept := 0; kept != 3000; {
		select {
		case kept = <-parked:
		case <-time.After(patience):
			t.Fatal("it does not park")
		}
	}
	r.conn.Write(record[3000:])
	if err := <-ended; err != nil || got != 10_000 {
		t.Errorf("%d bytes, %v", got, err)
	}
}

func TestRecordLength(t *testing.T) {
	header := []byte{typeApplication, 3, 3, 0, 0}
	for n, good := range map[int]bool{0: true, 17: true, maxCiphertext: true, maxCiphertext + 1: false, 0xffff: false} {
		binary.BigEndian.PutUint16(header[3:], uint16(n))
		if got, err := recordLength(header); (err == nil) != good || good && got != n+recordHeader {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
	header[0] = typeHandshake
	if _, err := recordLength(header); err == nil {
		t.Error("a record in plain text was taken")
	}
}

// When crypto/tls goes on by itself, what was read ahead of the handshake's end is still handed out.
func TestWirePassesOnWhatWasReadAhead(t *testing.T) {
	server, client := tcpPair(t)
	record := []byte{typeApplication, 3, 3, 0, 1, 'x'}
	w := NewWire(server, append(bytes.Clone(record), record...))
	w.Write([]byte("flight"))
	got := make([]byte, len(record))
	for i := range 2 {
		if _, err := io.ReadFull(w, got); err != nil || !bytes.Equal(got, record) {
			t.Fatalf("record %d: %q, %v", i, got, err)
		}
		if i == 0 {
			w.Write([]byte("ticket"))
			if err := w.Pass(); err != nil {
				t.Fatal(err)
			}
		}
	}
	sent := make([]byte, len("flightticket"))
	if _, err := io.ReadFull(client, sent); err != nil || string(sent) != "flightticket" {
		t.Errorf("%q, %v", sent, err)
	}
}
