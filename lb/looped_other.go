//go:build !linux

package lb

// enterLoop returns false: there are no loops here.
func (c *conn) enterLoop() bool { return false }

func (s *Server) loopStats() []LoopStats { return nil }
