// Package dist tests what `make dist` makes: that it is the same each time, and that it installs, serves and goes away again
// below a systemd of its own. It needs root, and takes minutes: make check runs it.
package dist
