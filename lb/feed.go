package lb

import "net"

// feed reads a plain stream into blocks, and holds none while nothing comes.
type feed struct {
	src   *source
	block *block
	large bool // the last read filled its block
}

func newFeed(conn net.Conn) *feed {
	f := &feed{}
	f.src = newSource(conn, f.room, f.release)
	return f
}

// room leaves a byte behind what is read: sealing needs it.
func (f *feed) room() []byte {
	if f.block != nil && f.large != (len(f.block.data) == largeBlock) {
		f.release()
	}
	if f.block == nil {
		f.block = takeBlock(f.large)
	}
	return f.block.data[:records(f.block)*maxPlaintext]
}

// records is how many full records of plaintext a block holds, so that they fit into another one sealed.
func records(b *block) int { return len(b.data) / maxSealed }

func (f *feed) release() {
	f.block.free()
	f.block = nil
}

// read waits for data and returns it, good until the next call.
func (f *feed) read() ([]byte, error) {
	n, err := f.src.read()
	if err != nil {
		f.release()
		return nil, err
	}
	f.large = n == records(f.block)*maxPlaintext
	return f.block.data[:n], nil
}
