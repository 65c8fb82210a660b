// SPDX-License-Identifier: MIT

package store

// eventsOfActors serves the filter by actor for everybody but devices, who have
// nearly all events: those are found by the device that they are about.
const eventsOfActors = `
DROP INDEX events_operator;
CREATE INDEX events_actor ON events (actor, id) WHERE actor NOT LIKE 'device:%';
`
