#!/bin/sh
# Sends the file that it is told through the agent's port, and ends.
[ "$1" = --version ] && echo 'QEMU emulator version 99.0' && exit
cat "$1" >&3
