// SPDX-License-Identifier: MIT

package enroll

// BindNow is bindNow, for what happens between two of its reads.
var BindNow = bindNow
