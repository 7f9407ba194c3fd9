package record

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// script is a Ready connection that gives what it has in pieces, each after a moment in which there is nothing.
type script struct {
	net.Conn
	data   []byte
	pieces []byte // sizes, in turn; 0 is a whole block
	turn   int
	dry    bool
	wrote  bytes.Buffer
}

func (s *script) ReadNow(p []byte) (int, error) {
	if s.dry = !s.dry; s.dry {
		return 0, ErrDry
	}
	n := len(p)
	if len(s.pieces) > 0 {
		if piece := int(s.pieces[s.turn%len(s.pieces)]); piece > 0 {
			n = min(n, piece)
		}
		s.turn++
	}
	n = copy(p[:n], s.data)
	s.data = s.data[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) { return s.wrote.Write(p) }

// FuzzReceiveWhatIsThere has a client send by ops, and the records come in pieces: what is delivered is what was sent, whatever
// is between it, and no memory is kept while nothing comes.
func FuzzReceiveWhatIsThere(f *testing.F) {
	f.Add([]byte{0, 10, 1, 0, 200, 2, 0, 3, 4}, []byte{1, 0, 7})
	f.Add([]byte{0, 255, 0, 255, 1, 1, 0, 1, 4}, []byte{255, 255, 3})
	f.Add([]byte{3, 3, 0, 9, 5}, []byte{})
	f.Fuzz(func(t *testing.T, ops, pieces []byte) {
		if len(ops) > 200 {
			return
		}
		secret := bytes.Repeat([]byte{7}, 32)
		key := func() *trafficKey {
			k, err := newTrafficKey(suites[tls.TLS_AES_128_GCM_SHA256], bytes.Clone(secret))
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		client := &peer{t: t, out: key(), scratch: make([]byte, LargeBlock)}
		var sent, wire []byte
		closed := false
		updates, useless := 0, 0
		for i := 0; i < len(ops) && !closed; i++ {
			switch ops[i] % 5 {
			case 0: // data, of the size that follows
				size := 1
				if i+1 < len(ops) {
					i++
					size += 60 * int(ops[i])
				}
				data := bytes.Repeat([]byte{byte(i)}, size)
				wire = append(wire, client.seal(typeApplication, data, 0)...)
				sent = append(sent, data...)
				useless = 0
			case 1, 2:
				if updates++; updates > updateBurst {
					continue
				}
				message := keyUpdate
				if ops[i]%5 == 2 {
					message = keyUpdateBack
				}
				wire = append(wire, client.seal(typeHandshake, []byte(message), 0)...)
				if err := client.out.update(); err != nil {
					t.Fatal(err)
				}
				useless = 1
			case 3: // nothing but padding around it
				if useless++; useless > maxUseless {
					continue
				}
				wire = append(wire, client.seal(typeApplication, nil, int(ops[i]))...)
			case 4:
				wire = append(wire, client.seal(typeAlert, []byte{1, 0}, 0)...)
				closed = true
			}
		}
		conn := &script{data: wire, pieces: pieces}
		s := &Conn{in: key(), out: key()}
		s.Move(conn)
		var got []byte
		for {
			err := s.Receive(func(data []byte) error { got = append(got, data...); return nil })
			if errors.Is(err, ErrDry) {
				if s.Holds() {
					t.Fatal("a block is held though nothing is there")
				}
				continue
			}
			if err == nil {
				continue
			}
			if err != io.EOF || s.Ended() == closed {
				t.Fatalf("it ended with %v, without close_notify: %v, and that was sent: %v", err, s.Ended(), closed)
			}
			break
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes arrived of %d, or others", len(got), len(sent))
		}
	})
}
