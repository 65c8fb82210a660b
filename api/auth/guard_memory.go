// SPDX-License-Identifier: MIT

package auth

import (
	"container/list"
	"math"
	"time"
)

// bucket is a token bucket: it fills at perMinute up to burst.
type bucket struct {
	burst, perMinute, level float64
	at                      time.Time
}

func newBucket(burst, perMinute float64, now time.Time) bucket {
	return bucket{burst: burst, perMinute: perMinute, level: burst, at: now}
}

func (b *bucket) fill(now time.Time) {
	if now.After(b.at) {
		b.level = math.Min(b.burst, b.level+now.Sub(b.at).Minutes()*b.perMinute)
		b.at = now
	}
}

// take takes one if there is one.
func (b *bucket) take(now time.Time) bool {
	b.fill(now)
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// spend takes one, down to a debt of one: those that were under way at the
// same time are not counted against the future.
func (b *bucket) spend(now time.Time) {
	b.fill(now)
	b.level = math.Max(-1, b.level-1)
}

// wait returns how long until there is one.
func (b *bucket) wait(now time.Time) time.Duration {
	b.fill(now)
	if b.level >= 1 {
		return 0
	}
	return max(time.Millisecond, time.Duration((1-b.level)/b.perMinute*float64(time.Minute)))
}

// lru remembers the entries that were used last, up to a bound.
type lru[K comparable, V any] struct {
	bound   int
	order   *list.List // of *lruEntry, the most recent first
	entries map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](bound int) *lru[K, V] {
	return &lru[K, V]{bound: bound, order: list.New(), entries: map[K]*list.Element{}}
}

// get returns the value of key, a zero one that it keeps if there is none. It
// is good until the next call of get.
func (l *lru[K, V]) get(key K) *V {
	if e, ok := l.entries[key]; ok {
		l.order.MoveToFront(e)
		return &e.Value.(*lruEntry[K, V]).value
	}
	if l.order.Len() >= l.bound {
		oldest := l.order.Back()
		delete(l.entries, oldest.Value.(*lruEntry[K, V]).key)
		l.order.Remove(oldest)
	}
	entry := &lruEntry[K, V]{key: key}
	l.entries[key] = l.order.PushFront(entry)
	return &entry.value
}

// peek returns the value of key, if there is one, without using it.
func (l *lru[K, V]) peek(key K) (*V, bool) {
	e, ok := l.entries[key]
	if !ok {
		return nil, false
	}
	return &e.Value.(*lruEntry[K, V]).value, true
}

func (l *lru[K, V]) remove(key K) {
	if e, ok := l.entries[key]; ok {
		delete(l.entries, key)
		l.order.Remove(e)
	}
}
