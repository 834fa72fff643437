import { createHash, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { controlSocketPath } from '../control/socket-path.ts';

/** Layout of `.mesh/`. Another number means that another version of mesh wrote what is in there. */
export const STATE_VERSION = 1;

/** `.mesh/` beside mesh.config.ts: everything a mesh keeps. */
export interface MeshDirectory {
  path: string;
  /** Names this mesh among all of this machine: 12 hex digits of its real path. First part of its processes' marker. */
  key: string;
  /** Unix socket of the control API. Elsewhere than in `.mesh/` if the path there is too long for a socket. */
  controlSocket: string;
  /** What services wrote, stamped and merged. */
  logs: string;
  /** What running services write to directly, until it is in `logs`. */
  output: string;
  identity: string;
  ledger: string;
}

/** Creates what is missing. Problems: MESH-S101 not writable, MESH-S102 disk full, MESH-S103 other version, MESH-S104 corrupted. */
export function openMeshDirectory(baseDir: string): Result<MeshDirectory> {
  const root = path.join(baseDir, '.mesh');
  try {
    fs.mkdirSync(root, { recursive: true, mode: 0o700 });
    const version = checkVersion(root);
    if (version !== null) return fail(version);
    const directory = layout(root);
    if (isCopy(root)) forgetOriginal(root, directory);
    for (const folder of [directory.logs, directory.output, directory.identity])
      fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeOnce(path.join(root, '.gitignore'), '*\n');
    const socket = prepareSocketFolder(root, directory);
    if (socket !== null) return fail(socket);
    fs.writeFileSync(placeNote(root), JSON.stringify(placeOf(root)), { mode: 0o600 });
    writeOnce(path.join(root, 'version'), `${STATE_VERSION}\n`);
    return ok(directory);
  } catch (error) {
    return fail(storageProblem(root, error));
  }
}

/** The directory of a mesh that was started before, without creating anything; null if there is none. */
export function findMeshDirectory(baseDir: string): MeshDirectory | null {
  const root = path.join(baseDir, '.mesh');
  if (!fs.existsSync(path.join(root, 'version')) || isCopy(root)) return null;
  const directory = layout(root);
  return { ...directory, controlSocket: recordedSocket(root) ?? directory.controlSocket };
}

/** A failed write or read in `.mesh/` as a problem. */
export function storageProblem(file: string, error: unknown): Problem {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return problem('MESH-S102', {
      message: `no space left to write ${file}`,
      hint: code === 'EDQUOT' ? 'your disk quota is used up: free some space' : 'the disk is full: free some space',
    });
  const reason =
    { EACCES: 'permission denied', EPERM: 'permission denied', EROFS: 'the file system is read-only' }[code] ??
    { ENOTDIR: 'a part of the path is a file', EEXIST: 'a file of that name is in the way' }[code] ??
    (error as Error).message;
  return problem('MESH-S101', {
    message: `cannot write ${file}: ${reason}`,
    hint: ['EACCES', 'EPERM'].includes(code)
      ? `mesh keeps its state beside mesh.config.ts: make it yours with \`sudo chown -R "$USER" ${file}\``
      : 'mesh keeps its state in `.mesh/` beside mesh.config.ts, which must be a writable folder',
  });
}

interface Place {
  path: string;
  inode: number;
}

const placeNote = (root: string): string => path.join(root, 'place');

const placeOf = (root: string): Place => ({ path: realPath(root), inode: fs.statSync(root).ino });

/** A project copied as a whole, state included: neither where it was nor the folder that it was. */
function isCopy(root: string): boolean {
  try {
    const recorded = JSON.parse(fs.readFileSync(placeNote(root), 'utf8')) as Partial<Place>;
    const place = placeOf(root);
    return recorded.path !== place.path && recorded.inode !== place.inode;
  } catch {
    return false;
  }
}

/** What the state says about processes is about those of the original, which may run and must not be touched. */
function forgetOriginal(root: string, directory: MeshDirectory): void {
  for (const name of fs.readdirSync(root)) if (name.startsWith('lock.')) fs.rmSync(path.join(root, name));
  for (const file of [directory.ledger, socketNote(root)]) fs.rmSync(file, { force: true });
  fs.rmSync(directory.output, { recursive: true, force: true });
}

function layout(root: string): MeshDirectory {
  return {
    path: root,
    key: createHash('sha256').update(realPath(root)).digest('hex').slice(0, 12),
    controlSocket: controlSocketPath(root),
    logs: path.join(root, 'logs'),
    output: path.join(root, 'output'),
    identity: path.join(root, 'identity'),
    ledger: path.join(root, 'ledger'),
  };
}

function realPath(root: string): string {
  try {
    return fs.realpathSync(root);
  } catch {
    return path.resolve(root);
  }
}

/** The runtime directory may differ from terminal to terminal, so what the daemon chose is written down. */
const socketNote = (root: string): string => path.join(root, 'control.path');

function recordedSocket(root: string): string | null {
  try {
    const recorded = fs.readFileSync(socketNote(root), 'utf8').trim();
    return path.isAbsolute(recorded) ? recorded : null;
  } catch {
    return null;
  }
}

/** A socket outside `.mesh/` must not be reachable by others, nor its folder prepared by them. */
function prepareSocketFolder(root: string, directory: MeshDirectory): Problem | null {
  const note = socketNote(root);
  if (path.dirname(directory.controlSocket) === root) {
    fs.rmSync(note, { force: true });
    return null;
  }
  const folder = path.dirname(directory.controlSocket);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & 0o077) !== 0)
    return problem('MESH-S105', {
      message: `${folder}, the folder for the control socket, belongs to or is open to somebody else`,
      hint: `remove it, or set XDG_RUNTIME_DIR to a folder of your own (${path.join(root, 'control.sock')} is too long for a socket)`,
    });
  fs.writeFileSync(note, `${directory.controlSocket}\n`, { mode: 0o600 });
  return null;
}

function checkVersion(root: string): Problem | null {
  let text: string;
  try {
    text = fs.readFileSync(path.join(root, 'version'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const version = /^(\d{1,6})\n?$/.exec(text)?.[1];
  if (version === undefined)
    return problem('MESH-S104', {
      message: `${path.join(root, 'version')} is corrupted`,
      hint: `stop the mesh if it runs, then delete ${root}: it is made anew by the next \`mesh up\``,
    });
  if (Number(version) !== STATE_VERSION)
    return problem('MESH-S103', {
      message: `${root} was written by another version of mesh (layout ${version}, this one has ${STATE_VERSION})`,
      hint: `run \`mesh down\` with that version, then delete ${root}: it is made anew by the next \`mesh up\``,
    });
  return null;
}

/** By way of a rename, so that no reader and no crash sees half a file. */
function writeOnce(file: string, content: string): void {
  if (fs.existsSync(file)) return;
  const draft = `${file}.${randomUUID()}`;
  try {
    fs.writeFileSync(draft, content, { mode: 0o600 });
    fs.renameSync(draft, file);
  } finally {
    fs.rmSync(draft, { force: true });
  }
}
