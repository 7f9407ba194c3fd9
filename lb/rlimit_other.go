//go:build !unix

package lb

import "errors"

// RaiseFileLimit does nothing where there is no such limit.
func RaiseFileLimit() (uint64, error) {
	return 0, errors.ErrUnsupported
}
