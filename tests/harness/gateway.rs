//! `Gateway`: a gateway process of its own, before servers that are somebody else's.

use std::process::{Child, Command, Stdio};

use super::{Rest, server, server_binary};

/// A gateway process. Killed when dropped.
pub struct Gateway {
    child: Child,
    address: String,
}

impl Gateway {
    /// Starts a gateway before the servers whose gRPC doors are at these addresses.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(servers: &[&str], arguments: &[&str]) -> Gateway {
        let mut command = Command::new(server_binary());
        server::without_settings(&mut command);
        let mut child = command
            .args(["gateway", "--server", &servers.join(","), "--http", "127.0.0.1:0", "--print-addresses", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program runs");
        let Some(addresses) = server::first_line(&mut child) else {
            let _ = child.kill();
            panic!("the gateway does not come up: {:?}", child.wait());
        };
        let address = addresses["http"].as_str().expect("it has an HTTP door").to_owned();
        Gateway { child, address }
    }

    /// Where its door is, `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of it.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::new(&self.address)
    }

    /// Kills the process as `kill -9` does and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("the gateway is ours to kill");
        self.child.wait().expect("a killed process can be waited for");
    }

    /// Asks the process to stop, and waits until it has.
    ///
    /// # Panics
    /// If it reports a failure.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` runs");
        assert!(sent.success(), "SIGTERM was not sent to {pid}");
        let status = self.child.wait().expect("the gateway is our child");
        assert!(status.success(), "the gateway ended with {status}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
