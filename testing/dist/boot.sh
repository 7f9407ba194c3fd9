# Boots a systemd over a copy-on-write copy of this machine's root, in namespaces of its own, and has it run the one service
# that the test is. $1 is a directory that is /out inside.
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mkdir -p out oldroot
mount --bind "$1" out
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mkdir -p run/systemd/system run/lock
cp out/inside.service run/systemd/system/
ip link set lo up
pivot_root . oldroot
cd /
umount -l /oldroot
export container=other
exec /lib/systemd/systemd --system --unit=inside.service </dev/null
