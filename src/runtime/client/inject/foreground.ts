import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Signals that reach the command through us. A terminal sends Ctrl-C and Ctrl-\ to the whole foreground group, of which
 * the command is part, so that passing these on would deliver them twice; without one they were meant for us alone.
 */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT'] as const;
const PASSED_ON = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

export interface ForegroundCommand {
  readonly pid: number;
  /** Its exit code; 128 + n if signal n ended it. */
  readonly ended: Promise<number>;
}

/** Exit codes of a shell for what it cannot start. */
export const NOT_FOUND = 127;
export const NOT_EXECUTABLE = 126;

/**
 * Runs a command in this process's place: the same terminal, stdin and process group, so that job control (Ctrl-Z, fg)
 * and SIGWINCH reach both by themselves. Rejects with the system's error if it cannot be started.
 */
export async function startForeground(
  [program, ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<ForegroundCommand> {
  const child = spawn(program, args, { stdio: 'inherit', env });
  // Before anything can be sent: a Ctrl-C is the command's to answer.
  const stopListening = passSignals(child);
  const ended = new Promise<number>((resolve) => {
    child.on('exit', (code, signal) => {
      stopListening();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve).once('error', (error) => {
      stopListening();
      reject(error);
    });
  });
  return { pid: child.pid!, ended };
}

function passSignals(child: ChildProcess): () => void {
  const terminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
  const listeners = [...FROM_TERMINAL, ...PASSED_ON].map((signal) => {
    const listener = (): void => {
      const twice = terminal && FROM_TERMINAL.some((each) => each === signal);
      if (!twice) child.kill(signal);
    };
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  return () => {
    for (const stop of listeners) stop();
  };
}
