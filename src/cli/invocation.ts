/** How the command line is called, for help and advice. */
export const invocation = 'npm run -s cli --';
