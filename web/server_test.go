package web

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/xdire/xlb/store"
)

// run starts the tasks and the server; the test's end stops them, the server first.
func (f *fixture) run(engine *store.Badger) {
	var tasks sync.WaitGroup
	background, stopTasks := context.WithCancel(context.Background())
	tasks.Go(func() { engine.Run(background) })
	f.Cleanup(func() { stopTasks(); tasks.Wait() })
	f.runTasks()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(f.T, err)
	f.url = "https://" + l.Addr().String()
	serving, stopServing := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(serving, l) }()
	f.stop = sync.OnceValue(func() error {
		stopServing()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("Serve did not return in 20 s")
		}
	})
	f.Cleanup(func() { must(f.T, f.stop()) })
}

func (f *fixture) runTasks() {
	var tasks sync.WaitGroup
	background, stopTasks := context.WithCancel(context.Background())
	for _, task := range f.control.Tasks() {
		tasks.Go(func() {
			if err := task.Run(background); err != nil {
				f.Errorf("task %s: %v", task.Name, err)
			}
		})
	}
	f.Cleanup(func() { stopTasks(); tasks.Wait() })
}
