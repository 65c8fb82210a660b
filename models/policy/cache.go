// SPDX-License-Identifier: MIT

package policy

import (
	"fmt"
	"sync"

	"github.com/trustloom/trustloom/models"
)

// maxCached bounds a Cache; what is in use is far less.
const maxCached = 1000

// Cache parses stored profiles, each version once: a stored version never
// changes. The zero value is ready to use, by several goroutines at once.
type Cache struct {
	mu       sync.RWMutex
	profiles map[models.ProfileID]*Profile
}

// Parse returns the parsed document of a stored version of a profile.
func (c *Cache) Parse(row *models.Profile) (*Profile, error) {
	c.mu.RLock()
	profile := c.profiles[row.ID]
	c.mu.RUnlock()
	if profile != nil {
		return profile, nil
	}
	profile, err := ParseProfile(row.Document)
	if err != nil {
		return nil, fmt.Errorf("parse stored profile %s version %d: %w", row.Name, row.Version, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.profiles == nil || len(c.profiles) >= maxCached {
		c.profiles = map[models.ProfileID]*Profile{}
	}
	c.profiles[row.ID] = profile
	return profile, nil
}
