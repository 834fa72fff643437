import type { CodeTable } from '../errors.ts';

/** I: certificate authorities, identities and trust stores. */
export const identityCodes = {
  'MESH-I101': {
    title: 'the data directory cannot be written',
    explanation: `The root authority of your meshes lives in the XDG data directory ($XDG_DATA_HOME or ~/.local/share). It must be writable
by you.`,
  },
  'MESH-I102': {
    title: 'the root authority is damaged',
    explanation: `The root's key or certificate is missing, unreadable, or does not belong to the other. Restore it from a backup; or run
\`mesh trust --uninstall\`, remove its directory, and the next \`mesh up\` makes a new one.`,
  },
  'MESH-I103': {
    title: 'the intermediate authority was replaced',
    explanation: `The intermediate authority of this mesh was expired, damaged or of another root. A new one was made and certificates were
issued anew; nothing is left to do.`,
  },
  'MESH-I104': {
    title: 'the root authority expires',
    explanation: `The root certificate is expired or will soon be. When no mesh runs: \`mesh trust --uninstall\`, remove its directory, start
again, \`mesh trust\`. If it is not that old, the clock of this machine is wrong.`,
  },
  'MESH-I105': {
    title: 'the root authority is not valid yet',
    explanation: `The root certificate begins in the future, so the clock of this machine is wrong.`,
  },
  'MESH-I106': {
    title: 'a private key was readable by others',
    explanation: `The file of a private key had wider permissions than 600. They were narrowed; if others use this machine, make a new root.`,
  },
  'MESH-I107': {
    title: 'the identity directory cannot be used',
    explanation: `The directory with the mesh's intermediate authority in .mesh/ cannot be read or written. Make it writable, or remove it.`,
  },
  'MESH-I108': {
    title: 'no certificate can be issued',
    explanation: `The intermediate authority has expired, which happens only when the clock jumped: a new one is made when the mesh starts.`,
  },
  'MESH-I109': {
    title: 'no certificate is held for this service',
    explanation: `Certificates are held for the services that the mesh runs, not for external ones. \`mesh certs\` lists them.`,
  },
  'MESH-I120': {
    title: 'not a SPIFFE ID',
    explanation: `A SPIFFE ID reads spiffe://<trust domain>/<path>, here spiffe://<trust domain>/ns/<namespace>/sa/<service>, with letters,
digits, dots, hyphens and underscores in each part.`,
  },
  'MESH-I121': {
    title: 'a certificate request was refused',
    explanation: `The authority signs PKCS#10 requests for ECDSA P-256 keys that prove possession of the key, and nothing else.`,
  },
  'MESH-I122': {
    title: 'not a trust domain',
    explanation: `A trust domain consists of lowercase letters, digits, dots, hyphens and underscores, at most 255 of them.`,
  },
  'MESH-I123': {
    title: 'not a name for a server certificate',
    explanation: `The gateway's certificate is for host names and IP addresses: 'shop.localhost', '*.localhost', '127.0.0.1'.`,
  },
  'MESH-I130': {
    title: 'the root could not be installed',
    explanation: `\`mesh trust\` adds the root certificate to the trust stores of the system and its browsers, for which the system may ask for
your password. The message has what its tool said. HTTPS works without it, with a warning in the browser.`,
  },
  'MESH-I131': {
    title: 'no tool to install the root',
    explanation: `\`mesh trust\` uses security (macOS), update-ca-certificates, update-ca-trust or trust (Linux), and certutil for Firefox and
Chrome on Linux. Install the one that the message names.`,
  },
} as const satisfies CodeTable<'I'>;
