/* mos-run ctl: a request to the control socket of a run, from the command line. */
#ifndef MOS_CONTROL_CLIENT_H
#define MOS_CONTROL_CLIENT_H

/*
 * argv[0] is "ctl". Prints the answer. Exit codes as mos-run's: 0; 1 the run refused; 2 the command line is wrong; 3 there
 * is no run at the socket.
 */
int client_main(int argc, char **argv);

#endif
