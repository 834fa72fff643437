// stand-in
export interface ConfigSources { locate(path: string): { file: string; line: number; column: number } | undefined }
