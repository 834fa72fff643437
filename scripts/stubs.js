/** Stands for react-devtools-core, which ink loads only when DEV is set, and which is 15 MB. */
export default { initialize() {}, connectToDevTools() {} };
