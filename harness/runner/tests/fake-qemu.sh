#!/bin/sh
# Answers as QEMU does, from files beside the link that it is called by: DEVICE.help.
case "$2" in
*,help) exec cat "$(dirname "$0")/${2%,help}.help" 2>/dev/null ;;
esac
echo 'QEMU emulator version 99.0'
