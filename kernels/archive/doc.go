// SPDX-License-Identifier: Apache-2.0

// Package archive gets kernels from Debian's archive into the user's cache: kernels for virtual
// machines, User-mode Linux with the C library that it needs, and QEMU. Nothing is installed
// and no privilege is needed.
//
// [Archive.Index] reads what the suites offer, [Index.Find] picks a set of packages by the name
// of a kernel, [Archive.Fetch] downloads and unpacks it, and [Archive.Kernels] says what is
// there. The packages of a set have checksums from the index of their suite, and the index has
// one from the suite's signed release file. The signature is checked where gpgv and Debian's
// keyring are; [Suite.Unverified] says why it was not. A lock file ([WriteLock]) repeats a set
// later without any index.
//
// Not checked: whether a release file is the newest one that the archive has published.
package archive
