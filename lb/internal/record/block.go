package record

import "sync"

// Buffers come in three sizes and go back as soon as there is nothing to read: a connection that waits
// holds none.
const (
	tinyBlock  = 4 << 10   // a flight of a handshake
	smallBlock = 17 << 10  // one TLS record of any size (RFC 8446, section 5.2: at most 16,645 bytes)
	LargeBlock = 132 << 10 // eight of them, when a stream fills one
)

// Block is a buffer with a home.
type Block struct {
	Data []byte
	home *sync.Pool
}

func blocksOf(size int) *sync.Pool {
	pool := &sync.Pool{}
	pool.New = func() any { return &Block{Data: make([]byte, size), home: pool} }
	return pool
}

var tinyBlocks, smallBlocks, largeBlocks = blocksOf(tinyBlock), blocksOf(smallBlock), blocksOf(LargeBlock)

// Tiny returns a block of 4 KB.
func Tiny() *Block { return tinyBlocks.Get().(*Block) }

// takeBlock returns a small block or a large one.
func takeBlock(large bool) *Block {
	if large {
		return largeBlocks.Get().(*Block)
	}
	return smallBlocks.Get().(*Block)
}

// Take returns a block with room for at least n bytes.
func Take(n int) *Block {
	if n > LargeBlock {
		return &Block{Data: make([]byte, n)}
	}
	return takeBlock(n > smallBlock)
}

// Free gives a block back. It is no longer the caller's. A nil block is none.
func (b *Block) Free() {
	if b != nil && b.home != nil {
		b.home.Put(b)
	}
}
