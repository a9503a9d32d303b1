//! What a worker says to the process that starts its programs: an order with three open files, through a socket.

use rustix::cmsg_space;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Number of open files that come with an order.
const N_FILES: usize = 3;

/// Number of bytes that say how long an order is.
const LENGTH: usize = 4;

/// A program that is to be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment, beside those that it inherits.
    pub environment: BTreeMap<String, String>,
}

/// What comes with an order: stdout and stderr of the program, and the socket on which it is spoken of.
pub struct Files {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub control: UnixStream,
}

/// Sends an order with its files.
pub fn send(mut socket: &UnixStream, order: &Order, files: [BorrowedFd<'_>; N_FILES]) -> io::Result<()> {
    let text = serde_json::to_vec(order)?;
    let length = u32::try_from(text.len()).map_err(|_| io::Error::from(ErrorKind::ArgumentListTooLong))?;
    let message = [&length.to_le_bytes()[..], &text].concat();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(N_FILES))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(&files));
    // The files travel with the first byte.
    let n_sent =
        rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(&message)], &mut rights, SendFlags::empty()))?;
    socket.write_all(&message[n_sent..])
}

/// Waits for the next order. None where the worker is gone.
pub fn receive(mut socket: &UnixStream) -> io::Result<Option<(Order, Files)>> {
    let (mut length, mut n_read, mut files) = ([0; LENGTH], 0, Vec::new());
    while n_read < LENGTH {
        let n = receive_part(socket, &mut length[n_read..], &mut files)?;
        if n == 0 {
            return Ok(None);
        }
        n_read += n;
    }
    let mut text = vec![0; u32::from_le_bytes(length) as usize];
    socket.read_exact(&mut text)?;
    let Ok([stdout, stderr, control]) = <[OwnedFd; N_FILES]>::try_from(files) else {
        return Err(io::Error::new(ErrorKind::InvalidData, "an order came without its files"));
    };
    Ok(Some((serde_json::from_slice(&text)?, Files { stdout, stderr, control: control.into() })))
}

fn receive_part(socket: &UnixStream, bytes: &mut [u8], files: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(N_FILES))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::io::retry_on_intr(|| recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut rights, RecvFlags::empty()))?;
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    // No program inherits what belongs to another.
    files.iter().try_for_each(|file| fcntl_setfd(file, FdFlags::CLOEXEC))?;
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn orders_arrive_one_by_one_each_with_its_own_files() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let orders: Vec<Order> = (0..3)
            .map(|i| Order {
                arguments: vec!["x".repeat(10 * i)],
                environment: BTreeMap::from([("N".to_owned(), i.to_string())]),
            })
            .collect();
        let mut readers = Vec::new();
        for order in &orders {
            let (control, far) = UnixStream::pair().unwrap();
            let (reader, writer) = io::pipe().unwrap();
            send(&ours, order, [writer.as_fd(), writer.as_fd(), far.as_fd()]).unwrap();
            readers.push((reader, control));
        }
        drop(ours);
        for (order, (mut reader, _control)) in orders.iter().zip(readers) {
            let (received, files) = receive(&theirs).unwrap().unwrap();
            assert_eq!(received, *order);
            std::fs::File::from(files.stdout).write_all(order.environment["N"].as_bytes()).unwrap();
            drop(files.stderr);
            let mut said = String::new();
            reader.read_to_string(&mut said).unwrap();
            assert_eq!(said, order.environment["N"]);
        }
        assert!(receive(&theirs).unwrap().is_none());
    }
}
