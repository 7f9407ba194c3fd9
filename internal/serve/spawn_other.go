//go:build !linux

package serve

import (
	"errors"
	"os"
)

// reloadSignal is none on this system.
var reloadSignal os.Signal

type child struct {
	pid      int
	stranger bool
	ended    error
}

type copies struct{}

func copyOf(*sockets) (*copies, error) {
	return nil, errors.New("this system cannot pass sockets on")
}

func (c *copies) Close() error                 { return nil }
func (c *copies) spawn(string) (*child, error) { return nil, errors.ErrUnsupported }

func (c *child) running() bool { return false }
func (c *child) kill()         {}
