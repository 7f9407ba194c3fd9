// Package heap is container/heap for items that know their place, so that each can be moved and taken out.
package heap

import "container/heap"

// Heap has the item on top that comes before all others. Make one with [New]. It is not safe for concurrent use.
type Heap[T any] struct{ items items[T] }

// New returns an empty heap. place is where an item keeps its index, -1 while it is in no heap.
func New[T any](before func(a, b T) bool, place func(T) *int) *Heap[T] {
	return &Heap[T]{items[T]{before: before, place: place}}
}

// Len is how many items there are.
func (h *Heap[T]) Len() int { return len(h.items.all) }

// Top is the first item. It panics when there is none.
func (h *Heap[T]) Top() T { return h.items.all[0] }

// Push puts an item in.
func (h *Heap[T]) Push(item T) { heap.Push(&h.items, item) }

// Pop takes the first item out.
func (h *Heap[T]) Pop() T { return heap.Pop(&h.items).(T) }

// Fix moves an item to where it belongs by now.
func (h *Heap[T]) Fix(item T) { heap.Fix(&h.items, *h.items.place(item)) }

// Remove takes an item out.
func (h *Heap[T]) Remove(item T) { heap.Remove(&h.items, *h.items.place(item)) }

// items implements heap.Interface.
type items[T any] struct {
	all    []T
	before func(a, b T) bool
	place  func(T) *int
}

func (i *items[T]) Len() int           { return len(i.all) }
func (i *items[T]) Less(a, b int) bool { return i.before(i.all[a], i.all[b]) }
func (i *items[T]) Swap(a, b int) {
	i.all[a], i.all[b] = i.all[b], i.all[a]
	*i.place(i.all[a]) = a
	*i.place(i.all[b]) = b
}

// Push implements heap.Interface.
func (i *items[T]) Push(x any) {
	item := x.(T)
	*i.place(item) = len(i.all)
	i.all = append(i.all, item)
}

// Pop implements heap.Interface.
func (i *items[T]) Pop() any {
	last := len(i.all) - 1
	item := i.all[last]
	var none T
	i.all[last] = none // the array must not keep it
	i.all = i.all[:last]
	*i.place(item) = -1
	return item
}
