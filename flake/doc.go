// SPDX-License-Identifier: Apache-2.0

// Program flake runs a package's tests again and again, in ways that make flaky
// ones fail, and counts: see [Mode]. `make flake` runs it.
//
// A scenario run is a leaf, a test or subtest without subtests of its own, that
// passed or failed. One that was skipped is counted apart, and so are the leaves of
// TestDefects in package proofs: one of these that fails is a defect missed.
//
// What it starts ends with it, also when it is killed. It exits with status 1
// where anything failed.
package main
