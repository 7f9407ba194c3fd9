package record

import "net"

// Feed reads a plain stream into blocks, and holds none while nothing comes.
type Feed struct {
	src   *source
	block *Block
	large bool // the last read filled its block
}

// NewFeed returns a feed of a connection, which the caller closes.
func NewFeed(conn net.Conn) *Feed {
	f := &Feed{}
	f.src = newSource(conn, f.room, f.Release)
	return f
}

// room leaves a byte behind what is read: sealing needs it.
func (f *Feed) room() []byte {
	if f.block != nil && f.large != (len(f.block.Data) == LargeBlock) {
		f.Release()
	}
	if f.block == nil {
		f.block = takeBlock(f.large)
	}
	return f.block.Data[:records(f.block)*maxPlaintext]
}

// records is how many full records of plaintext a block holds, so that they fit into another one sealed.
func records(b *Block) int { return len(b.Data) / maxSealed }

// Release gives the memory back that it holds.
func (f *Feed) Release() {
	f.block.Free()
	f.block = nil
}

// KeepSmall makes the next Read a small one, when small is true.
func (f *Feed) KeepSmall(small bool) { f.large = f.large && !small }

// Read waits for data and returns it, good until the next call.
func (f *Feed) Read() ([]byte, error) {
	n, err := f.src.read()
	if err != nil {
		if err == ErrDry {
			return nil, err
		}
		f.Release()
		return nil, err
	}
	f.large = n == records(f.block)*maxPlaintext
	return f.block.Data[:n], nil
}
