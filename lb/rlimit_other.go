//go:build !unix

package lb

import "errors"

// RaiseFileLimit does nothing where there is no such limit.
func RaiseFileLimit() (limit uint64, connections int, err error) {
	return 0, 0, errors.ErrUnsupported
}
