// SPDX-License-Identifier: Apache-2.0

// Package netns makes the network that hosts are made of: network namespaces
// (network_namespaces(7)) and veth pairs between them (veth(4)).
//
// A [Namespace] is held by a descriptor and has sockets that were opened inside it, so
// that what is asked and changed there needs no thread that enters it. What does need one
// goes through [Namespace.Do].
//
// A veth pair is two [End]s, each of which says what it should be like: its addresses and
// default routes. [Join] makes the pair with two system calls, one at each end: rtnetlink(7)
// takes several requests in one message.
package netns
