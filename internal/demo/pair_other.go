//go:build !unix

package demo

import "net"

// pair is two ends of one stream.
func pair() (here, there net.Conn, err error) {
	here, there = net.Pipe()
	return here, there, nil
}
