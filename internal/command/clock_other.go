//go:build !linux

package command

func clockKept() (kept, known bool) { return false, false }
