#!/bin/sh
# Answers as QEMU does, from files beside the link that it is called by: DEVICE.help.
case "$2" in
*,help)
    cat "$(dirname "$0")/${2%,help}.help" 2>/dev/null || echo "Device '${2%,help}' not found" >&2
    # QEMU ends with success even then.
    exit
    ;;
esac
echo 'QEMU emulator version 99.0'
