import type { CodeTable } from '../errors.ts';

/** J3xx: transparent interception of a process's connections. */
export const transparentCodes = {
  'MESH-J301': {
    title: 'transparent interception is for Linux only',
    explanation: `\`--transparent\` works with nftables and control groups, which only Linux has. Elsewhere a process joins with its outbound
side when it is started by \`mesh inject --as SERVICE -- COMMAND\`, or when it honours http_proxy or the <NAME>_URL variables.`,
  },
  'MESH-J302': {
    title: 'the daemon may not change packet rules',
    explanation: `Rules for packets need the capability CAP_NET_ADMIN, in the daemon and in the \`nft\` that it starts. Start the mesh with it:
\`sudo mesh up\`, or give it to your user's processes as an ambient capability. Everything but \`--transparent\` works without.`,
  },
  'MESH-J303': {
    title: 'nft is not installed',
    explanation: `The program \`nft\` loads the rules. It is in the package nftables: \`sudo apt install nftables\`, \`sudo dnf install nftables\`,
\`sudo pacman -S nftables\`. mesh looks on the PATH and in /usr/sbin and /sbin.`,
  },
  'MESH-J304': {
    title: 'the kernel refuses the rules',
    explanation: `\`nft\` tried the rules without loading them, and they did not pass; the message has its words. Kernels need nf_tables with
nat, redirect, reject, fib and socket expressions (CONFIG_NFT_NAT, _REDIR, _REJECT_INET, _FIB_INET, _SOCKET), and mesh needs
nftables 0.9.9 or later. Nothing was changed.`,
  },
  'MESH-J305': {
    title: "the process's packets cannot be told from others",
    explanation: `Rules match by control group: the unified hierarchy (cgroup2), or net_cls where only version 1 is mounted. With neither they
match by user, which needs a process that runs as another user than the mesh, whose own connections must not be redirected.
Mount one: \`sudo mount -t cgroup2 none /sys/fs/cgroup/unified\`.`,
  },
  'MESH-J306': {
    title: 'the process cannot be moved into a control group',
    explanation: `The processes of the workload, and the data plane, are put in control groups of their own below the ones they are in. That
needs write access there (root, or a group delegated to you by systemd), and a group that is not threaded.`,
  },
  'MESH-J307': {
    title: 'the process is in another network namespace',
    explanation: `A process in a container has a loopback interface and rules of its own: rules of the daemon's namespace do not see its
connections. Publish its port and take it in with \`mesh inject --address HOST:PORT --as SERVICE\`.`,
  },
  'MESH-J308': {
    title: 'something cannot be written in a rule',
    explanation: `A name, an address, a port or the path of a control group has characters that must not stand in a rule. Nothing was changed.`,
  },
  'MESH-J309': {
    title: 'transparent interception was not undone completely',
    explanation: `Rules, a control group or a DNS redirection of an earlier run are still there; .mesh/interception.json says which. Most
often they were made as root: \`sudo mesh down\` removes them. By hand: \`sudo nft delete table inet mesh_...\`.`,
  },
  'MESH-J310': {
    title: 'a local port for interception cannot be bound',
    explanation: `The DNS server for *.mesh, and the relays for IPv6, listen on ports of the loopback interface that the system chooses. The
message has the system's reason; most often the limit of open files is reached (\`ulimit -n\`).`,
  },
  'MESH-J311': {
    title: 'the process is gone',
    explanation: `The process ended before its connections could be intercepted. Start it again, then \`mesh inject\` it.`,
  },
} satisfies CodeTable<'J'>;
