package lb

import "sync"

// Buffers come in three sizes and go back as soon as there is nothing to read: a connection that waits
// holds none.
const (
	tinyBlock  = 4 << 10   // a flight of a handshake
	smallBlock = 17 << 10  // one TLS record of any size (RFC 8446, section 5.2: at most 16,645 bytes)
	largeBlock = 132 << 10 // eight of them, when a stream fills one
)

// block is a buffer with a home.
type block struct {
	data []byte
	home *sync.Pool
}

func blocksOf(size int) *sync.Pool {
	pool := &sync.Pool{}
	pool.New = func() any { return &block{data: make([]byte, size), home: pool} }
	return pool
}

var tinyBlocks, smallBlocks, largeBlocks = blocksOf(tinyBlock), blocksOf(smallBlock), blocksOf(largeBlock)

// takeBlock returns a small block or a large one.
func takeBlock(large bool) *block {
	if large {
		return largeBlocks.Get().(*block)
	}
	return smallBlocks.Get().(*block)
}

// free gives a block back. It is no longer the caller's. A nil block is none.
func (b *block) free() {
	if b != nil {
		b.home.Put(b)
	}
}
